def handler
  body = Enumerator.new do |chunks|
    chunks << 'first'
    sleep 0.3
    chunks << 'second'
  end
  [200, {}, body]
end
