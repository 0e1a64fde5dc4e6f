using Fission.DotNet.Common;

// LINQ, each method and clause once.
public class MyFunction
{
    class Part
    {
        public string Name { get; set; } = "";
        public int Count { get; set; }
        public decimal Price { get; set; }
        public double? Weight { get; set; }
        public List<string> Tags { get; } = new List<string>();
    }

    public object Execute(FissionContext context)
    {
        var parts = new List<Part> { new Part { Name = "a", Count = 1, Price = 1.5m, Tags = { "x" } }, new Part { Name = "b", Weight = 0.5 } };
        var totals = parts.GroupBy(part => part.Name)
            .OrderByDescending(group => group.Sum(part => part.Count * part.Price)).ThenBy(group => group.Key)
            .Select(group => new { group.Key, Sum = group.Sum(part => part.Count), Most = group.Max(part => part.Price), Mean = group.Average(part => part.Weight) })
            .ToList();
        var query = from part in parts
                    where part.Count >= 0
                    let length = part.Name.Length
                    from tag in part.Tags
                    join total in totals on part.Name equals total.Key
                    orderby length descending, part.Name
                    select (part.Name, tag, total.Sum);
        var grouped = from part in parts group part.Price by part.Count into same where same.Any() select string.Join("|", same);
        var named = parts.ToDictionary(part => part.Name, StringComparer.OrdinalIgnoreCase);
        var lookup = parts.ToLookup(part => part.Count, part => part.Name);
        var names = new HashSet<string>(named.Keys.Distinct().Where(name => !string.IsNullOrWhiteSpace(name)));
        var pairs = names.Zip(Enumerable.Range(1, 9), (name, number) => (name, number)).Skip(1).Reverse().Union(new[] { (name: "z", number: 0) }).ToArray();
        var every = parts.SelectMany(part => part.Tags).Concat(names).Except(new[] { "y" }).Intersect(names).DefaultIfEmpty("none").Take(3).Append("end");
        var folded = parts.Aggregate(0, (sum, part) => sum + part.Count) + parts.Select((part, index) => index).Min() + every.TakeWhile(word => word != "end").Count();
        var sorted = new SortedDictionary<string, Part>(named);
        parts.Sort((left, right) => string.CompareOrdinal(left.Name, right.Name));
        parts.ForEach(part => part.Count++);
        var facts = (parts.Any(part => part.Count > 1), parts.All(part => part.Count > 0), parts.FirstOrDefault(part => part.Price > 5)?.Name, parts.Last().Name, parts.Find(part => part.Count == 1));
        foreach (var (key, value) in sorted.Where(pair => pair.Value.Weight.HasValue)) folded += key.Length + value.Count;
        return string.Join(", ", query.Select(each => each.ToString()).Concat(grouped).Concat(pairs.Select(pair => pair.name))) + folded + lookup[1].Count() + facts + totals.Count;
    }
}
