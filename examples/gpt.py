"""A language model that nobody trained: a byte-level GPT, searched in a random network, shipped as a ticket.

    python examples/gpt.py search                     # some minutes on two cores; writes gpt.tombola
    python examples/gpt.py sample gpt.tombola         # rebuilds it from that file alone, and lets it write

The text is Python's own help, which every Python brings along. Its last tenth is held out, and read once,
by the network that was rebuilt from the file.
"""

import argparse
import math
import sys
from collections import Counter
from pathlib import Path
from pydoc_data.topics import topics

import torch
import torch.nn.functional as F
from torch import nn

import tombola

BYTES = 256
CONTEXT = 64
HEADS = 4
BATCH = 32


# --- the model: an ordinary decoder-only Transformer ---


class Block(nn.Module):
    """Causal self-attention, then two linear layers; each normalises what it reads and adds what it says."""

    def __init__(self, width):
        super().__init__()
        self.attention_norm = nn.LayerNorm(width, elementwise_affine=False)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.attended = nn.Linear(width, width, bias=False)
        self.mlp_norm = nn.LayerNorm(width, elementwise_affine=False)
        self.up = nn.Linear(width, 4 * width, bias=False)
        self.down = nn.Linear(4 * width, width, bias=False)

    def forward(self, x):  # (batch, length, width), as is what it returns
        q, k, v = self.qkv(self.attention_norm(x)).unflatten(-1, (3, HEADS, -1)).permute(2, 0, 3, 1, 4)
        heads = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.attended(heads.transpose(1, 2).flatten(-2))
        return x + self.down(self.up(self.mlp_norm(x)).relu().square())


class GPT(nn.Module):
    """Bytes so far -> logits of the byte that comes next, at every position."""

    def __init__(self, width, layers):
        super().__init__()
        self.scale = math.sqrt(width) / 2
        self.byte = nn.Embedding(BYTES, width)
        self.position = nn.Embedding(CONTEXT, width)
        self.blocks = nn.Sequential(*(Block(width) for _ in range(layers)))
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.head = nn.Linear(width, BYTES, bias=False)
        self.head.weight = self.byte.weight  # tied: one tensor, one mask

    def forward(self, text):  # (batch, length) -> (batch, length, BYTES)
        # The rows are drawn as small as a linear layer wants them: scaled up where they are looked up.
        x = self.scale * (self.byte(text) + self.position.weight[: text.shape[1]])
        return self.head(self.norm(self.blocks(x)))


# --- the text ---


def read_text():
    """The text to search with and the text held out, as tensors of bytes."""
    paragraphs = "\n\n".join(topics[name] for name in sorted(topics)).split("\n\n")
    # Each once: many stand under several topics, and would be held out and searched with as well.
    text = "\n\n".join(dict.fromkeys(paragraphs)).encode()
    return split(torch.tensor(list(text)))


def split(text):
    """The first nine tenths and the last."""
    cut = len(text) * 9 // 10
    return text[:cut], text[cut:]


def unigram_entropy(text):
    """Bits per byte of `text` for a code that knows how often each byte occurs in it, and nothing else."""
    return -sum(n / len(text) * math.log2(n / len(text)) for n in Counter(text.tolist()).values())


@torch.no_grad()
def bits_per_byte(model, text):
    """The model's cross-entropy on `text`, read in windows of CONTEXT bytes, each by itself."""
    windows = text[: (len(text) - 1) // CONTEXT * CONTEXT + 1].unfold(0, CONTEXT + 1, CONTEXT)
    losses = [
        F.cross_entropy(model(some[:, :-1]).mT, some[:, 1:], reduction="none")
        for some in windows.split(BATCH)
    ]
    return torch.cat(losses).mean().item() / math.log(2)


# --- the search, and the way back from its ticket ---


def search(steps, width, layers, out, seed, validate):
    """Find a ticket, write it to `out`, and measure what can be rebuilt from that file."""
    train, held_out = read_text()
    if validate:
        train, held_out = split(train)
    model = GPT(width, layers)
    # Embeddings are scaled like the linear layer that one of them is as well.
    source = tombola.Source(model, seed=seed, fan_in={"byte.weight": width, "position.weight": width})
    found = tombola.EdgePopup(source, density=0.5)
    optimizer = torch.optim.Adam(found.parameters(), lr=0.02, betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    generator = torch.Generator().manual_seed(seed)
    for step in range(1, steps + 1):
        starts = torch.randint(len(train) - CONTEXT, (BATCH, 1), generator=generator)
        batch = train[starts + torch.arange(CONTEXT + 1)]
        loss = F.cross_entropy(model(batch[:, :-1]).mT, batch[:, 1:])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        found.step()
        if step % 100 == 0:
            print(f"step {step:5d}  {loss.item() / math.log(2):.2f} bits per byte of its batch", flush=True)

    ticket = found.ticket(metadata={"model": "gpt", "width": str(width), "layers": str(layers)})
    ticket.save(out)
    rebuilt = load(out)
    with torch.no_grad():
        assert torch.equal(rebuilt(batch[:, :-1]), model(batch[:, :-1]))
    parameters = sum(parameter.numel() for parameter in rebuilt.parameters())
    print(f"{out}: {ticket.nbytes:,} bytes; as float32 the model takes {4 * parameters:,}")
    print(f"unigram entropy of the held-out text: {unigram_entropy(held_out):.3f} bits per byte")
    print(f"the ticket's network on it:           {bits_per_byte(rebuilt, held_out):.3f} bits per byte")


def load(path):
    """The network of a ticket file, rebuilt and verified."""
    ticket = tombola.Ticket.load(path)
    ticket.verify()
    said = ticket.metadata
    try:
        if said["model"] != "gpt":
            raise ValueError
        model = GPT(width(said["width"]), positive(said["layers"]))
    except (KeyError, ValueError, argparse.ArgumentTypeError):
        raise tombola.TicketError(f"{path}: expected a ticket written by gpt.py, got another") from None
    return ticket.apply(model)


@torch.no_grad()
def sample(path, length, temperature, seed):
    """Print `length` bytes that the network of a ticket file writes."""
    model, generator = load(path), torch.Generator().manual_seed(seed)
    text = torch.tensor([list(b"\n\n")])
    for _ in range(length):
        chances = F.softmax(model(text[:, -CONTEXT:])[0, -1] / temperature, dim=0)
        text = torch.cat([text, torch.multinomial(chances, 1, generator=generator)[None]], dim=1)
    print(bytes(text[0].tolist()).decode(errors="backslashreplace"))


def positive(text):
    """A whole number from 1 on."""
    if int(text) < 1:
        raise ValueError
    return int(text)


def width(text):
    """A width that every head gets an equal part of."""
    if positive(text) % HEADS:
        raise argparse.ArgumentTypeError(f"expected a multiple of {HEADS}, got {text}")
    return int(text)


def temperature(text):
    """A number above 0."""
    if not 0 < float(text) < math.inf:
        raise ValueError
    return float(text)


def main():
    """Read the command line, and run what it asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True)
    defaults = {"formatter_class": argparse.ArgumentDefaultsHelpFormatter}

    command = commands.add_parser("search", help="find a ticket", **defaults)
    command.add_argument("--steps", type=positive, default=1500, help="updates of the scores")
    command.add_argument("--width", type=width, default=128, help="numbers at each position, between blocks")
    command.add_argument("--layers", type=positive, default=2, help="blocks")
    command.add_argument("--out", type=Path, default=Path("gpt.tombola"), help="the ticket's file")
    command.add_argument("--seed", type=int, default=0, help="of the random network and of the batches")
    command.add_argument(
        "--validate", action="store_true", help="hold out the end of the training text instead"
    )
    command.set_defaults(run=search)

    command = commands.add_parser("sample", help="let a ticket write", **defaults)
    command.add_argument("path", metavar="TICKET", type=Path)
    command.add_argument("--length", type=positive, default=400, help="bytes to write")
    command.add_argument(
        "--temperature", type=temperature, default=0.7, help="lower: likely bytes more often"
    )
    command.add_argument("--seed", type=int, default=0, help="of the choices")
    command.set_defaults(run=sample)

    options = vars(parser.parse_args())
    try:
        options.pop("run")(**options)
    except (tombola.TombolaError, OSError) as error:
        sys.exit(f"gpt.py: {error}")


if __name__ == "__main__":
    main()
