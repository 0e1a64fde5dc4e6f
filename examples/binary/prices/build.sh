#!/bin/sh
# Makes the program `price` of prices.csv: what a compiler does with source. Any build goes here (make, cc, curl); this one
# needs nothing but a shell.
set -eu

{
	echo '#!/bin/sh'
	echo 'read -r product'
	echo 'case $product in'
	line=0
	while IFS=, read -r product price; do
		line=$((line + 1))
		case $price in
		'' | *[!0-9.]*) echo "prices.csv:$line: the price of $product is no number: $price" >&2 && exit 1 ;;
		esac
		echo "'$product') echo '$product: $price' ;;"
	done <prices.csv
	echo '*) echo "no price for $product" ;;'
	echo 'esac'
} >price
chmod +x price
