# A body that is sent as it is made, and fails on the way.
class Halfway
  def each
    yield 'first'
    raise 'broke off'
  end

  def close
    puts 'closed'
  end
end

def handler(context)
  context.logger.warn('low on memory')
  case context.request.params['form']
  when 'response' then Rack::Response.new(['made'], 202, { 'X-Answer' => 'yes' })
  when 'headers' then [203, { 'Set-Cookie' => %w[a=1 b=2] }, 'text']
  when 'halfway' then [200, {}, Halfway.new]
  when 'exit' then exit 3
  when 'deep' then handler(context)
  when 'kill' then Thread.exit
  end
end

def parameters(context)
  request = context.request
  "#{request.params.sort} #{request.headers['x-test']} #{request.headers['Content-Type']}"
end

def anything(*all)
  all.size.to_s
end

def two(context, more)
  "#{context} #{more}"
end
