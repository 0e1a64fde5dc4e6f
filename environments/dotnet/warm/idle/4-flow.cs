using System;
using System.Collections.Generic;
using System.Threading;
using System.Threading.Tasks;
using Fission.DotNetCore.Api;

// How code runs: waiting, iterating, failing, looping, choosing.
namespace Warm
{
    public class Missing : Exception
    {
        public string What { get; }
        public Missing(string what, Exception inner = null) : base($"{what} is missing", inner) => What = what;
    }

    public class FlowFunction
    {
        static readonly object Gate = new object();
        static volatile int calls;
        int? maybe;

        public async Task<object> Execute(FissionContext context)
        {
            lock (Gate) calls++;
            maybe ??= calls;
            var text = new List<string> { $"{maybe:X2}", @"a\b", 'c' + "\t\u00e9" };
            foreach (var any in new object[] { 4, 2, "x", null, 2.5, new[] { 1 } }) text.Add(Kind(any));
            foreach (var number in Numbers(3)) text.Add(Name(number));
            await foreach (var number in Slowly(2).ConfigureAwait(false)) text.Add(number.ToString());
            var waits = new List<Task<int>>();
            for (var index = 0; index < 2; index++) waits.Add(Length(text[index]));
            var sums = await Task.WhenAll(waits);
            Swap(ref sums[0], ref sums[1]);
            return Counted(sums.Length, out var counted, text, sums) + counted + await Careful("gone");
        }

        static async Task<int> Length(string word)
        {
            await Task.Delay(0).ConfigureAwait(false);
            return word.Length;
        }

        static int Counted(in int start, out int number, params object[] rest)
        {
            Span<int> some = stackalloc int[4];
            var grid = new int[2, 2];
            var jagged = new[] { new long[] { 1, 2 }, Array.Empty<long>() };
            for (int row = 0, end = some.Length; row < end; row++)
            {
                some[row] = row * row % 3;
                grid[row / 2, row % 2] |= ~row << 1;
            }
            var i = 10;
            do
            {
                if (i % 2 == 0) continue;
                i -= 2;
            } while (--i > 0);
            while (true)
            {
                if (i++ > 3) break;
            }
            unchecked { i = (int)(uint.MaxValue + (uint)i) ^ 5 & 7; }
            Func<int, Func<int, int>> curried = left => right => left - right;
            Action<int> add = delegate (int value) { i = checked(value + i); };
            add(1);
            double ratio = -1.5e2 / i;
            float half = 0.5f;
            long big = 1L << 40;
            char letter = (char)('a' + start);
            byte small = (byte)big;
            string none = null;
            number = grid.Length + (int)(jagged[0]?[1] ?? 0) + curried(3)(1) + (none?.Length ?? -1) + letter + small + (int)(ratio * half) + (int)(12.5m - 1.1m);
            return rest[0] is List<string> { Count: var count } && count > 2 ? number : -number;
        }

        static string Kind(object any)
        {
            switch (any)
            {
                case int number when number > 3: return "many";
                case int _: return "few";
                case string { Length: 1 } word: return word.ToUpperInvariant();
                case Array array: return array.GetType().Name;
                case null: return "nothing";
                default: return typeof(object).Name;
            }
        }

        static string Name(int number)
        {
            bool Even(int value) => value % 2 == 0;
            switch (number)
            {
                case 0:
                case 10: return "zero";
                default: return number switch { 1 => "one", var other when Even(other) => "even", _ => throw new ArgumentOutOfRangeException(nameof(number)) };
            }
        }

        static void Swap<T>(ref T left, ref T right)
        {
            var keep = left;
            left = right;
            right = keep;
        }

        static IEnumerable<int> Numbers(int count)
        {
            if (count < 0) yield break;
            for (var number = 0; number < count; number++) yield return number;
        }

        static async IAsyncEnumerable<int> Slowly(int count)
        {
            foreach (var number in Numbers(count))
            {
                await Task.Yield();
                yield return number;
            }
        }

        static async Task<string> Careful(string what)
        {
            var answer = "";
            try
            {
                await Task.Yield();
                throw new Missing(what);
            }
            catch (Missing missing) when (missing.What != "")
            {
                answer = await Task.FromResult(missing.Message);
            }
            catch (Exception error)
            {
                answer = error.Message;
                throw;
            }
            finally
            {
                using var source = new CancellationTokenSource();
                answer += source.IsCancellationRequested;
            }
            return answer;
        }
    }
}
