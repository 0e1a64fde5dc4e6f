printf %s "$(wc -c)"
