# frozen_string_literal: true

require 'logger'
require 'rack'
require 'rack/request'

module Fission
  # What a function is given.
  class Context
    attr_reader :env, :logger

    def initialize(env, logger)
      @env = env
      @logger = logger
    end

    def request
      @request ||= Request.new(@env)
    end
  end

  # Rack's request with the headers by their names, and the parameters of the route's path among the others.
  class Request < Rack::Request
    PATH_PARAMETER = 'HTTP_X_FISSION_PARAMS_'
    # Headers that Rack does not mark as such.
    UNMARKED = %w[CONTENT_TYPE CONTENT_LENGTH].freeze

    # Names as in `X-Request-Id`; asked for in any case.
    def headers
      in_any_case = Hash.new { |all, name| all.fetch(header_name(name.to_s), nil) }
      @headers ||= env.each_with_object(in_any_case) do |(key, value), all|
        if key.start_with?('HTTP_') && key != 'HTTP_VERSION'
          all[header_name(key[5..])] = value
        elsif UNMARKED.include?(key) && value
          all[header_name(key)] = value
        end
      end
    end

    # Those of the query, of a form, and of the path: `{name}` of a route is `name` here, in lower case.
    def params
      @params ||= env.each_with_object(super.dup) do |(key, value), all|
        all[key.delete_prefix(PATH_PARAMETER).downcase] = value if key.start_with?(PATH_PARAMETER)
      end
    end

    private

    def header_name(name)
      name.tr('_', '-').split('-').map(&:capitalize).join('-')
    end
  end
end
