def left_over
  'left over'
end
