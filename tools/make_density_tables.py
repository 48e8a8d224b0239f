"""Write docs/densities.md's tables: the density of each layer of ResNet-18 (32×32) under every rule.

python tools/make_density_tables.py > tables.md
"""

from __future__ import annotations

from tombola.experiments.layer_densities import density_table


def main() -> None:
    """One table for each overall density."""
    for density in (0.5, 0.3, 0.1):
        rules, sizes = density_table("resnet18", 1.0, density, in_channels=3, classes=10, image_size=32)
        print(f"\n## p = {density}\n")  # noqa: T201
        print(f"| layer | weights | {' | '.join(rules)} |")  # noqa: T201
        print(f"| --- |{' --- |' * (len(rules) + 1)}")  # noqa: T201
        for name, size in sizes.items():
            print(f"| {name} | {size:,} | {' | '.join(f'{found[name]:.4f}' for found in rules.values())} |")  # noqa: T201
        total = sum(sizes.values())
        sums = (sum(sizes[n] * found[n] for n in sizes) / total for found in rules.values())
        print(f"| all | {total:,} | {' | '.join(f'{value:.4f}' for value in sums)} |")  # noqa: T201


if __name__ == "__main__":
    main()
