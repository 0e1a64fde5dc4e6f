# frozen_string_literal: true

# Output in whole lines. Lines printed while a request is served begin with its id between two record separators, which
# the log capture takes off again; nothing is added outside a request or when the request has no id.

module Fission
  module Output
    SEPARATOR = "\x1e".b
    # A line that never ends is written out when it is this long, in bytes.
    LONGEST_LINE = 64 * 1024
    # The prefix of the request this thread serves. Enumerators run in fibers of the thread: theirs is the same.
    PREFIX = :fission_prefix

    # From now on all output goes by lines, also what is written to the constants.
    def self.install
      [STDOUT, STDERR].each do |stream|
        stream.sync = true
        stream.extend(Lines)
      end
      Warning.extend(Warnings)
    end

    # From now on this thread serves the request.
    def self.enter(id)
      Thread.current.thread_variable_set(PREFIX, id && "#{SEPARATOR}#{id}#{SEPARATOR}".b)
    end

    # Ends lines this thread has begun.
    def self.finish
      [STDOUT, STDERR].each(&:finish_line)
    end

    # Ruby writes warnings past the stream, and `warn` makes one.
    module Warnings
      def warn(message, **)
        $stderr.write(message)
        nil
      end
    end

    # A stream that keeps each thread's unfinished line back until it ends or is flushed. `puts`, `print`, `p` and the
    # others all come down to `write`.
    module Lines
      # `inside`: half a line was flushed, and its other half gets no second prefix.
      State = Struct.new(:waiting, :inside)

      def write(*texts)
        bytes = texts.map { |text| text.to_s.b }.join
        state = line_state
        text = state.waiting + bytes
        length = text.bytesize > LONGEST_LINE ? text.bytesize : (text.rindex("\n") || -1) + 1
        state.waiting = text.byteslice(length..)
        emit(text.byteslice(0, length)) { |lines| super(lines) } if length.positive?
        bytes.bytesize
      end

      def syswrite(text) = write(text)

      def write_nonblock(text, **) = write(text)

      def flush
        state = line_state
        text = state.waiting
        state.waiting = ''.b
        emit(text) { |lines| IO.instance_method(:write).bind_call(self, lines) } unless text.empty?
        super
      end

      def finish_line
        state = line_state
        write("\n") if state.inside || !state.waiting.empty?
      end

      private

      def line_state
        key = fileno == 2 ? :fission_stderr : :fission_stdout
        thread = Thread.current
        thread.thread_variable_get(key) || State.new(''.b, false).tap { |state| thread.thread_variable_set(key, state) }
      end

      def emit(text)
        state = line_state
        prefix = Thread.current.thread_variable_get(PREFIX)
        if prefix
          start = state.inside ? '' : prefix
          text = start + text.byteslice(0, text.bytesize - 1).gsub("\n", "\n#{prefix}") + text.byteslice(-1)
        end
        state.inside = !text.end_with?("\n")
        # Written at once, so lines of other threads cannot come between.
        yield text
      end
    end
  end
end
