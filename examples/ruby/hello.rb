def handler(context)
  "Hello, world!\n"
end
