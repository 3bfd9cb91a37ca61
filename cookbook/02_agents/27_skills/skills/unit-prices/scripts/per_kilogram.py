"""Print the price of a kilogram: of so many kilograms, at so many euros."""

import sys

kilograms, euros = map(float, sys.argv[1:])
print(f"{euros / kilograms:.2f} € a kilogram")
