def handler
  ''
end
