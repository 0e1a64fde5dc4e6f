def handler
  print "one\nt"
  STDOUT << "wo\n"
  warn 'three'
  'printed'
end
