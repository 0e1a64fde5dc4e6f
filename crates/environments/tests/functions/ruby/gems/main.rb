require 'odd'

def handler
  Odd::TEXT
end
