WORD = "from a folder"
