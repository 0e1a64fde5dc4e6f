# frozen_string_literal: true

# Starts the server of the ruby environment. Start reading in service.rb (the protocol), then load.rb (the function).

# Text without a declared encoding is UTF-8, whatever the locale says.
Encoding.default_external = Encoding::UTF_8
# Libraries, Puma among them, take its absence for a developer's machine.
ENV['RACK_ENV'] ||= 'production'

# Ruby takes no folder for temporary files that all may write and none protects, as a pod's /tmp is: one in it, then.
temporary = File.stat('/tmp')
if ['', '/tmp'].include?(ENV['TMPDIR'].to_s) && temporary.world_writable? && !temporary.sticky?
  ENV['TMPDIR'] = "/tmp/ruby-#{Process.pid}"
  # A container that starts again finds it there.
  Dir.mkdir(ENV['TMPDIR'], 0o700) unless Dir.exist?(ENV['TMPDIR'])
end

require_relative 'output'
require_relative 'serve'
require_relative 'service'
require_relative 'warmup'

Fission::Output.install
Fission::Warmup.run(File.join(__dir__, 'warm'))

server = Fission::Serve.server(Fission::Service.new)
%w[TERM INT].each { |signal| trap(signal) { server.stop } }
begin
  Fission::Serve.listen(server, ENV['FISSION_SOCKET'].to_s, (ENV['RUNTIME_PORT'] || 8888).to_i)
rescue SystemCallError => error
  abort "ruby environment: cannot listen: #{error.message}"
end
server.run.join
