# Loaded once, although another file asks for it too: a second time would be refused.
raise 'loaded twice' if defined?(Words)

module Words
  FOLDER = 'from a folder'
end

def deep
  'deep'
end
