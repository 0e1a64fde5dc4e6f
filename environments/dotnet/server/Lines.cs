// Output in whole lines. Lines printed while a request is served begin with its id between two record separators, which
// the log capture takes off again; nothing is added outside a request or when the request has no id.
using System;
using System.IO;
using System.Text;
using System.Threading;

namespace Fission.Server
{
    sealed class Lines : TextWriter
    {
        const char Separator = '\x1e';

        /// Text of a line that never ends is written out when it is this long, in characters.
        const int LongestLine = 64 * 1024;

        static readonly UTF8Encoding Utf8 = new UTF8Encoding(false);

        /// What a request, or everything outside of requests, has printed of a line that has not ended.
        sealed class Unfinished
        {
            internal readonly string Prefix;
            internal readonly StringBuilder[] Text = { new StringBuilder(), new StringBuilder() };

            internal Unfinished(string prefix) => Prefix = prefix;
        }

        static readonly Unfinished Outside = new Unfinished("");
        static readonly AsyncLocal<Unfinished> Current = new AsyncLocal<Unfinished>();
        static readonly Lines[] Both = new Lines[2];

        readonly Stream stream;
        readonly int index;

        Lines(Stream stream, int index)
        {
            this.stream = stream;
            this.index = index;
        }

        public override Encoding Encoding => Utf8;

        /// From now on all output of the console goes by lines.
        internal static void Install()
        {
            Both[0] = new Lines(Console.OpenStandardOutput(), 0);
            Both[1] = new Lines(Console.OpenStandardError(), 1);
            Console.SetOut(Both[0]);
            Console.SetError(Both[1]);
        }

        /// What follows in this asynchronous flow is for the request.
        internal static void Enter(string requestId) =>
            Current.Value = new Unfinished(string.IsNullOrEmpty(requestId) ? "" : $"{Separator}{requestId}{Separator}");

        /// Writes the unfinished lines of this flow's request.
        internal static void FlushAll()
        {
            foreach (var lines in Both) lines.Flush();
        }

        public override void Write(char value) => Write(value.ToString());

        public override void Write(char[] buffer, int start, int count) => Write(new string(buffer, start, count));

        public override void WriteLine(string value) => Write(value + "\n");

        public override void WriteLine() => Write("\n");

        public override void Write(string value)
        {
            if (string.IsNullOrEmpty(value)) return;
            var current = Current.Value ?? Outside;
            lock (current)
            {
                var waiting = current.Text[index];
                waiting.Append(value);
                if (waiting.Length > LongestLine)
                {
                    Emit(current, waiting.ToString() + "\n");
                    waiting.Clear();
                    return;
                }
                var end = value.LastIndexOf('\n') + 1;
                if (end == 0) return;
                var finished = waiting.Length - (value.Length - end);
                Emit(current, waiting.ToString(0, finished));
                waiting.Remove(0, finished);
            }
        }

        /// Ends the line this flow has begun.
        public override void Flush()
        {
            var current = Current.Value ?? Outside;
            lock (current)
            {
                var waiting = current.Text[index];
                if (waiting.Length == 0) return;
                Emit(current, waiting.ToString() + "\n");
                waiting.Clear();
            }
        }

        /// Whole lines, in one write.
        void Emit(Unfinished current, string text)
        {
            if (current.Prefix.Length > 0)
            {
                text = current.Prefix + text.Substring(0, text.Length - 1).Replace("\n", "\n" + current.Prefix) + "\n";
            }
            var bytes = Utf8.GetBytes(text);
            lock (stream)
            {
                stream.Write(bytes, 0, bytes.Length);
                stream.Flush();
            }
        }
    }
}
