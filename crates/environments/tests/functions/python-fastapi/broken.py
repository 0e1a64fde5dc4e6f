fine = 1
broken = = 2
