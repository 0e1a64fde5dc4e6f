def handler
  raise ArgumentError, 'the reason'
end
