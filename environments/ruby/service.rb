# frozen_string_literal: true

# The Rack application: specializes once, then gives every request to the function.

require 'json'
require 'logger'
require_relative 'context'
require_relative 'load'
require_relative 'output'

module Fission
  # One generic container.
  class Service
    UNSPECIALIZED = 'Generic container: no requests supported'
    FAILED = 'Internal server error'
    # Where version 1 of the protocol keeps its code.
    V1_PATH = '/userfunc/user'
    TEXT = { 'content-type' => 'text/plain; charset=utf-8' }.freeze
    BINARY = { 'content-type' => 'application/octet-stream' }.freeze

    # A specialize request that is not as it should be. Its text holds nothing of the request: secrets may be in it.
    class Unreadable < StandardError; end

    def initialize
      @lock = Mutex.new
      @logger = Logger.new(STDOUT, level: level(ENV['LOG_LEVEL'].to_s))
    end

    def call(env)
      path = env['PATH_INFO']
      if path == '/healthz'
        text(200, '')
      elsif env['REQUEST_METHOD'] == 'POST' && ['/specialize', '/v2/specialize'].include?(path)
        @lock.synchronize { specialize(path, env) }
      elsif @code
        serve(env)
      else
        text(500, UNSPECIALIZED)
      end
    end

    # Undoes it.
    def unload
      @code&.unload
    end

    private

    def level(name)
      Logger.const_get(name.upcase)
    rescue NameError
      Logger::DEBUG
    end

    def specialize(path, env)
      return text(400, 'Not a generic container') if @code

      file, entry, variables = path == '/specialize' ? [V1_PATH, '', {}] : read(env['rack.input'].read)
      ENV.update(variables)
      @code = Code.load(file, entry)
      text(200, '')
    rescue Unreadable => error
      text(400, "the specialize request cannot be read: #{error.message}")
    rescue Exception => error # Code that calls exit is code that does not load.
      why = Code.explain(error)
      warn why
      text(500, why)
    ensure
      Output.finish
    end

    def read(body)
      load = JSON.parse(body)
      raise Unreadable, 'it is no object' unless load.is_a?(Hash)

      file, entry, variables = load['filepath'], load['functionName'] || '', load['env'] || {}
      raise Unreadable, 'filepath and functionName must be strings' unless file.is_a?(String) && entry.is_a?(String)

      named = variables.is_a?(Hash) && variables.none? { |name, _| name.empty? || name.match?(/[=\0]/) }
      unless named && variables.each_value.all? { |value| value.is_a?(String) && !value.include?("\0") }
        raise Unreadable, 'env must be names with strings'
      end
      [file, entry, variables]
    rescue JSON::ParserError
      raise Unreadable, 'it is no JSON'
    end

    def serve(env)
      Output.enter(env['HTTP_X_FISSION_REQUEST_ID'])
      answer(@code.call(Context.new(env, @logger)))
    rescue Exception => error # One request fails, whatever it was.
      warn Code.explain(error)
      text(500, FAILED)
    ensure
      Output.finish
    end

    # What a function returned, as Puma takes it.
    def answer(value)
      value = value.finish if value.is_a?(Rack::Response)
      return [200, value.encoding == Encoding::BINARY ? BINARY : TEXT, [value]] if value.is_a?(String)

      status, headers, body = value if value.is_a?(Array) && value.size == 3
      unless headers.respond_to?(:each) && (status.is_a?(Integer) || status.to_s.match?(/\A\d{3}\z/))
        raise TypeError, "the function returned #{value.class}, not a String or [status, headers, body]"
      end
      # Several values of a header are an array for some and lines for others.
      headers = headers.to_h { |name, values| [name.to_s, values.is_a?(Array) ? values.join("\n") : values.to_s] }
      [status.to_i, headers, body(body)]
    end

    def body(body)
      case body
      when String then [body]
      when Array then [body.map { |part| part.to_s.b }.join]
      when Hash then raise TypeError, "the function's body is a Hash: make a string of it (JSON.generate)"
      else
        raise TypeError, "the function's body is #{body.class} and has no each" unless body.respond_to?(:each)

        Stream.new(body)
      end
    end

    def text(status, text)
      [status, TEXT, [text]]
    end

    # A body that is sent as it is made.
    class Stream
      def initialize(body)
        @body = body
      end

      def each
        gone = nil
        @body.each do |part|
          yield part.to_s
        rescue StandardError => error
          # The client's end, not the function's.
          gone = error
          raise
        end
      rescue Exception => error
        raise if error.equal?(gone)

        warn Code.explain(error)
        # The head is out: all that can be done is not to end the body properly.
        raise Puma::ConnectionError, 'the function failed'
      ensure
        Output.finish
      end

      def close
        @body.close if @body.respond_to?(:close)
      ensure
        Output.finish
      end
    end
    private_constant :Stream
  end
end
