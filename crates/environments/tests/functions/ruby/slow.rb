def handler
  sleep 0.3
  'slow'
end
