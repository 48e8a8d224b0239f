"""Data sets too large for memory, or of images of many sizes: read and cropped as they are needed."""
