using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading.Tasks;
using Fission.DotNet.Common;

// What functions usually do, so that the compiler and the runtime have done it once.
public class MyFunction
{
    readonly Dictionary<string, List<int>> numbers = new Dictionary<string, List<int>>();

    class Item
    {
        public string Name { get; set; } = "";
        public int? Count { get; set; }
    }

    public async Task<object> Execute(FissionContext context, ILogger logger)
    {
        var request = context as FissionHttpContext;
        if (request == null || request.Method == "GET") return $"Hello, {request?.Url}!\n";
        var item = await context.ContentAs<Item>();
        foreach (var word in new[] { "a", "b" }) numbers[word] = Enumerable.Range(0, 3).Select(n => n * 2).Where(n => n > 1).ToList();
        try
        {
            switch (item.Name)
            {
                case "warm":
                    return new { item.Name, Total = numbers.Values.SelectMany(list => list).Sum(), item.Count };
                default:
                    throw new InvalidOperationException(item.Name);
            }
        }
        finally
        {
            await Task.Yield();
        }
    }
}
