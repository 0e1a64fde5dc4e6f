module Odd
  TEXT = 'not in lib'
end
