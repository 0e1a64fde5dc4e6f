require 'json'

def handler(context)
  request = context.request
  seen = {
    method: request.request_method,
    path: request.path,
    query: request.query_string,
    header: request.headers['X-Test'].to_s,
    body: request.body.read
  }
  [201, { 'X-Answer' => 'yes' }, [JSON.generate(seen)]]
end
