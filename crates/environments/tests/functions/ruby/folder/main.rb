require 'word'

def handler(context)
  'main file'
end

def vendored
  Word::TEXT
end
