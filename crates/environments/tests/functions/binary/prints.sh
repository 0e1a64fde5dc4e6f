printf "one\ntwo\n" >&2; echo three >&2; printf printed
