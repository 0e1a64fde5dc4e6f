require_relative 'lib/words'

def hello
  Words::FOLDER
end
