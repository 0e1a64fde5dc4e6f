def handler
  = 2
end
