"""Your own model in your own loop: a network that reads digits, out of a seed and a mask."""

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import nn

import tombola


class Net(nn.Module):
    """A small convolutional network, written as if there were no Tombola."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, 3, padding=1)
        self.conv2 = nn.Conv2d(32, 32, 3, stride=2)
        self.out = nn.Linear(32 * 3 * 3, 10)

    def forward(self, images):
        return self.out(self.conv2(self.conv1(images).relu()).relu().flatten(1))


torch.manual_seed(0)  # which digits are held out, and the batches; weights have a seed of their own
images, labels = (torch.tensor(array) for array in load_digits(return_X_y=True))
images = images.float().view(-1, 1, 8, 8) / 16
test, train = torch.randperm(len(images)).tensor_split([360])
model = Net()
search = tombola.IteRand(tombola.Source(model, seed=0), density=0.5)  # a score for each weight
optimizer = torch.optim.SGD(search.parameters(), lr=0.3, momentum=0.9)
for _epoch in range(15):
    for batch in train[torch.randperm(len(train))].split(64):
        optimizer.zero_grad()
        F.cross_entropy(model(images[batch]), labels[batch]).backward()
        optimizer.step()
        search.step()  # keeps the best half of the weights, and now and then redraws the others
search.ticket().save("digits.tombola")
fresh = tombola.Ticket.load("digits.tombola").apply(Net())
assert torch.equal(fresh(images[test]), model(images[test]))
print(f"test accuracy {(fresh(images[test]).argmax(1) == labels[test]).float().mean():.3f}")
