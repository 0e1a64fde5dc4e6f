# Read while it is loaded and while it serves: both must see what the platform gave it.
AT_LOAD = ENV.fetch('GREETING')

def handler
  "#{AT_LOAD} #{ENV['GREETING']} #{ENV['FROM_START']}"
end
