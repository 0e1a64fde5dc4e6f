def handler(context)
  'Grüße, 世界 🌍'
end
