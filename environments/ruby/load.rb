# frozen_string_literal: true

# From code and an entry point to something that can be called.

require 'rbconfig'

module Fission
  # The code has no such function. The text is for the user.
  class NotLoadable < StandardError; end

  # A function and the code it is in.
  class Code
    # Where frames of errors are not the function's: this server, Puma, and what Ruby does by itself.
    PUMA = $LOADED_FEATURES.grep(%r{/puma/server\.rb\z}).map { |file| File.dirname(file) }
    OWN_FRAMES = ["#{__dir__}/", '<internal:', *PUMA].freeze
    # The method where the entry point names none.
    DEFAULT = 'handler'
    # Names shown to someone whose entry point is not there.
    SHOWN = 20
    # Frames of an error that are shown.
    FRAMES = 50
    # What stands where `def` at top level belongs to.
    MAIN = TOPLEVEL_BINDING.receiver

    # Loads a file, or every file of a folder, and finds the method that the entry point names.
    def self.load(path, entry)
      raise NotLoadable, "there is no code at #{path}" unless File.exist?(path)

      code = new(path)
      begin
        code.load(entry)
      rescue Exception
        code.unload
        raise
      end
      code
    end

    def initialize(path)
      @path = File.realpath(path)
      @methods = top_level
      @load_path = $LOAD_PATH.dup
    end

    def load(entry)
      File.directory?(@path) ? load_folder : Kernel.load(@path)
      @function = find(entry.empty? ? DEFAULT : entry)
      @plain = @function.arity.zero?
    end

    def call(context)
      @plain ? @function.call : @function.call(context)
    end

    # Takes back what was defined at top level, so that other code can be loaded.
    def unload
      added.each { |name, method| method.owner.send(:remove_method, name) }
      $LOADED_FEATURES.reject! { |file| file.start_with?("#{@path}/") }
      $LOAD_PATH.replace(@load_path)
    end

    # An error as the user should read it: with file and line, without this server's own frames.
    def self.explain(error)
      # The text of a mistake in the code has its place.
      return error.message if error.is_a?(NotLoadable) || error.is_a?(SyntaxError)

      foreign = error.backtrace.to_a.reject { |frame| OWN_FRAMES.any? { |start| frame.start_with?(start) } }
      place = foreign.empty? ? '' : "#{foreign.first}: "
      lines = ["#{place}#{error.message} (#{error.class})", *foreign[1...FRAMES].to_a.map { |frame| "\tfrom #{frame}" }]
      lines << "\t... #{foreign.size - FRAMES} more" if foreign.size > FRAMES
      lines << explain(error.cause) if error.cause
      lines.join("\n")
    end

    private

    # Methods that code defined at top level: they are Object's, or those of the object at top level itself.
    def top_level
      names = Object.private_instance_methods(false) + Object.public_instance_methods(false)
      found = names.to_h { |name| [name, Object.instance_method(name)] }
      MAIN.singleton_methods(false).each { |name| found[name] = MAIN.singleton_class.instance_method(name) }
      found
    end

    def added
      top_level.reject { |name, method| @methods[name] == method }
    end

    def find(name)
      names = added.keys
      unless names.include?(name.to_sym)
        has = names.empty? ? 'it defines none' : "it has #{names.sort.first(SHOWN).join(', ')}"
        raise NotLoadable, "#{@path} has no method #{name} at top level; #{has}"
      end
      # Code may have a method `method` of its own.
      function = Kernel.instance_method(:method).bind_call(MAIN, name)
      unless [0, 1].include?(function.arity) || function.arity.between?(-2, -1)
        raise NotLoadable, "#{name} must take no argument, or one, the context; it takes #{function.parameters.size}"
      end
      function
    end

    # Each file once, whoever asks for it first: this, or another file with require_relative.
    def load_folder
      files = Dir.glob('**/*.rb', base: @path).reject { |file| file.start_with?('vendor/') }.sort
      if files.empty?
        has = Dir.children(@path).sort.first(SHOWN)
        raise NotLoadable, "there is no .rb file in the package; it has #{has.empty? ? 'no files' : has.join(', ')}"
      end
      # Before the standard library, as newer versions of its parts come as gems, and after what the server has loaded.
      $LOAD_PATH.insert($LOAD_PATH.index(RbConfig::CONFIG['sitelibdir']) || -1, *libraries)
      files.each { |file| require File.join(@path, file) }
    end

    # The folders that the package's gems are loaded from, as Bundler lays them out.
    def libraries
      homes = Dir.glob("#{@path}/vendor/bundle/ruby/*")
      mine = homes.select { |home| File.basename(home) == RbConfig::CONFIG['ruby_version'] }
      folders = (mine.empty? ? homes : mine).flat_map do |home|
        specs = Dir.glob("#{home}/specifications/*.gemspec").map do |file|
          Gem::StubSpecification.gemspec_stub(file, home, "#{home}/gems")
        end
        specs.flat_map(&:full_require_paths) + Dir.glob(["#{home}/gems/*/lib", "#{home}/extensions/*/*/*"])
      end
      ["#{@path}/lib", *folders].uniq.select { |folder| File.directory?(folder) }
    end
  end
end
