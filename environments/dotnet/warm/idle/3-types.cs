using System;
using System.Collections.Generic;
using System.Threading;
using Fission.DotNetCore.Api;

// What types can be and have, each thing once.
namespace Warm
{
    public delegate int Change(int value);

    [Flags]
    public enum Color : byte { None = 0, Red = 1, Green = 1 << 1, Both = Red | Green }

    public interface ISized<out T>
    {
        T Size { get; }
        string Named(string prefix = "n") => prefix + Size;
    }

    [AttributeUsage(AttributeTargets.All)]
    public sealed class MarkAttribute : Attribute
    {
        public MarkAttribute(string text) => Text = text;
        public string Text { get; }
        public int Level { get; set; }
    }

    public readonly struct Point : IEquatable<Point>, IComparable<Point>
    {
        public readonly int X;
        public readonly int Y;
        public Point(int x, int y) => (X, Y) = (x, y);
        public void Deconstruct(out int x, out int y) => (x, y) = (X, Y);
        public static Point operator +(Point left, Point right) => new Point(left.X + right.X, left.Y + right.Y);
        public static bool operator ==(Point left, Point right) => left.Equals(right);
        public static bool operator !=(Point left, Point right) => !(left == right);
        public static implicit operator Point(int both) => new Point(both, both);
        public int CompareTo(Point other) => X.CompareTo(other.X);
        public bool Equals(Point other) => X == other.X && Y == other.Y;
        public override bool Equals(object other) => other is Point point && Equals(point);
        public override int GetHashCode() => HashCode.Combine(X, Y);
    }

    public abstract class Base : ISized<int>, IDisposable
    {
        protected const int Few = 3;
        static int count;
        private protected readonly List<string> log = new List<string>();
        public virtual int Size { get; protected set; } = Few;
        public event EventHandler<string> Changed;
        public string this[int index] => log[index];
        protected Base(string first)
        {
            log.Add(first);
            Interlocked.Increment(ref count);
        }
        protected void Raise(string text) => Changed?.Invoke(this, text);
        public abstract T Get<T>(string name) where T : IComparable<T>;
        public void Dispose() => log.Clear();
        public static int Count => count;
    }

    [Mark("derived", Level = 2)]
    public sealed class Derived : Base
    {
        public Derived(string first) : base(first) => Changed += (sender, text) => log.Add(text);
        public override int Size => base.Size + 1;
        public override T Get<T>(string name) => (T)Convert.ChangeType(name, typeof(T));
        public override string ToString() => $"{nameof(Derived)}:{Size,4:000}";
        public void Change(string text) => Raise(text);
    }

    public class Store<TKey, TValue> where TValue : class, new()
    {
        readonly Dictionary<TKey, TValue> all = new Dictionary<TKey, TValue>();
        public TValue Get(TKey key) => all.TryGetValue(key, out var found) ? found : all[key] = new TValue();
        public static Store<TKey, TValue> Of(params TKey[] keys)
        {
            var store = new Store<TKey, TValue>();
            foreach (var key in keys) store.Get(key);
            return store;
        }
    }

    public static class Extensions
    {
        public static bool Between<T>(this T value, T low, T high) where T : IComparable<T> => value.CompareTo(low) >= 0 && value.CompareTo(high) < 0;
    }

    public class TypesFunction
    {
        static readonly Dictionary<string, (int Number, Color Color)> Known = new Dictionary<string, (int, Color)>(StringComparer.OrdinalIgnoreCase)
        {
            ["one"] = (1, Color.Red), ["two"] = (2, Color.Green | Color.Red), ["three"] = (3, default),
        };
        static TypesFunction() => Known.Remove("three");
        readonly Lazy<string> late = new Lazy<string>(() => "late");

        public string Execute(FissionContext context)
        {
            var text = "";
            using (var derived = new Derived(late.Value))
            {
                derived.Change("next");
                ISized<int> sized = derived;
                Change add = value => value + sized.Size;
                text = sized.Named() + derived[0] + derived.Get<int>("7") + derived + Base.Count + add(1);
            }
            Point sum = new Point(1, 2) + 3;
            var (x, y) = sum;
            foreach (var (name, (number, color)) in Known) text += name + number + color + color.HasFlag(Color.Red);
            return text + (sum != 4) + x + y + sum.Between(0, 9) + Store<string, List<int>>.Of("a").Get("b").Count + (sum as object is Point (4, var last) ? last : 0);
        }
    }
}
