def handler(context)
  context.request.body.read.bytesize.to_s
end
