require 'json'

# The query, JSON, a status of its own, a line in the log.
def handler(context)
  name = context.request.params['name']
  return [400, {}, []] unless name

  context.logger.info("#{name} was here")
  [200, { 'Content-Type' => 'application/json' }, [JSON.generate(greeting: "Hello, #{name}!"), "\n"]]
end
