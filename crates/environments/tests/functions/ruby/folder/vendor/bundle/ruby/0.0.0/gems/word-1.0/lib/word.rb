module Word
  TEXT = 'vendored'
end
