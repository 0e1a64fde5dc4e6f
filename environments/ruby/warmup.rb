# frozen_string_literal: true

require 'json'
require 'socket'
require 'tmpdir'
require_relative 'serve'
require_relative 'service'

module Fission
  # Goes the whole way once with a function of its own, so that everything it needs is loaded before a user comes.
  module Warmup
    def self.run(folder)
      service = Service.new
      server = Serve.server(service)
      Dir.mktmpdir do |scratch|
        path = File.join(scratch, 'socket')
        Serve.listen(server, path, 0)
        server.run
        UNIXSocket.open(path) do |socket|
          ask(socket, 'POST', '/v2/specialize', JSON.generate(filepath: File.join(folder, 'user'), functionName: ''))
          ask(socket, 'GET', '/?a=b', '')
          ask(socket, 'POST', '/', 'a=b')
        end
        server.stop(true)
      end
      service.unload
      Logger::Formatter.new.call('INFO', Time.now, nil, 'warm')
      begin
        raise 'warm'
      rescue StandardError => error
        Code.explain(error)
      end
      GC.start
    end

    def self.ask(socket, method, path, body)
      socket.write("#{method} #{path} HTTP/1.1\r\nHost: warm\r\nX-Fission-Request-ID: warm\r\n" \
                   "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: #{body.bytesize}\r\n\r\n#{body}")
      head = socket.gets("\r\n\r\n").to_s
      raise "the environment's own function failed: #{head}" unless head.start_with?('HTTP/1.1 200 ')

      socket.read(head[/^content-length: (\d+)/i, 1].to_i)
    end
    private_class_method :ask
  end
end
