# frozen_string_literal: true

# Puma, told never to close a connection by itself, to log nothing, and to let no idle connection keep a thread.

# nio is what Puma would load when it starts.
require 'nio'
require 'puma'
require 'puma/server'

module Fission
  module Serve
    # Requests served at the same time; more wait in line.
    THREADS = 16
    # Idle connections are closed by the one who opened them: no request can meet a closing one. In seconds.
    FOREVER = 10 * 365 * 24 * 3600
    # How long a thread waits for the next request of a connection it has just served before it turns to others. Puma's
    # 0.2 s would make a request wait that long when all threads wait for connections that stay idle.
    LINGER = 0.002
    # Seconds after which a thread that a function killed is replaced.
    REPLACE = 1

    Puma::Client.const_set(:FAST_TRACK_KA_TIMEOUT, LINGER)

    # Puma counts threads that ended, and leaves it to the next request to replace them; with none left there is no next.
    module Replacing
      def reap
        super
        with_mutex do
          spawn_thread while @spawned < @max && @waiting < @todo.size
          @not_full&.signal
        end
      end
    end
    Puma::ThreadPool.prepend(Replacing)

    # A server that does not listen yet.
    def self.server(application)
      options = {
        min_threads: THREADS,
        max_threads: THREADS,
        persistent_timeout: FOREVER,
        first_data_timeout: FOREVER,
        reaping_time: REPLACE,
        environment: 'production',
        lowlevel_error_handler: ->(_error) { [500, {}, []] },
        # Since Puma 6 and 7.
        supported_http_methods: :any,
        max_keep_alive: Float::INFINITY
      }
      if defined?(Puma::LogWriter)
        Puma::Server.new(application, nil, options.merge(log_writer: Puma::LogWriter.null))
      else
        Puma::Server.new(application, Puma::Events.null, options)
      end
    end

    # Listens on a unix socket, or on a TCP port where there is no path.
    def self.listen(server, path, port)
      # The folder of the socket decides who may connect; the one who connects may be another user than this one.
      path.empty? ? server.binder.add_tcp_listener('0.0.0.0', port) : server.binder.add_unix_listener(path)
      server.binder.ios.each do |listener|
        # With all threads busy and someone waiting to connect, Puma would end a connection after its answer.
        def listener.wait_readable(*) = nil
      end
    end
  end
end
