using System.Collections.Concurrent;
using System.Text.Json;
using System.Text.Json.Serialization;
using Fission.DotNet.Common;

// JSON of what types usually have.
public class MyFunction
{
    static readonly ConcurrentDictionary<string, int> Seen = new ConcurrentDictionary<string, int>();
    static readonly JsonSerializerOptions Options = new JsonSerializerOptions
    {
        PropertyNameCaseInsensitive = true,
        PropertyNamingPolicy = JsonNamingPolicy.CamelCase,
        WriteIndented = true,
        Converters = { new JsonStringEnumConverter() },
    };

    public enum State { Open, Closed }

    public class Part
    {
        public string Name { get; set; }
        public int Count { get; set; }
        public long Number { get; set; }
        public decimal Price { get; set; }
        public double Weight { get; set; }
        public bool Done { get; set; }
        public State State { get; set; }
        public Guid Id { get; set; }
        public DateTime At { get; set; }
        public DateTimeOffset? Until { get; set; }
        public int? Maybe { get; set; }
        [JsonPropertyName("the_tags")] public List<string> Tags { get; set; } = new List<string>();
        [JsonIgnore] public string Hidden { get; set; }
    }

    public class Whole
    {
        public List<Part> Parts { get; set; }
        public Part[] More { get; set; }
        public Dictionary<string, string> Texts { get; set; }
        public Dictionary<string, int> Counts { get; set; }
        public Dictionary<string, object> Any { get; set; }
        public IEnumerable<int> Numbers { get; set; }
        public object Thing { get; set; }
    }

    public async Task<object> Execute(FissionContext context)
    {
        var part = new Part { Name = "a", Price = 1.5m, Id = Guid.NewGuid(), At = DateTime.UtcNow, Until = DateTimeOffset.UnixEpoch, Tags = { "x" } };
        var whole = new Whole
        {
            Parts = new List<Part> { part, new Part { Name = "b" } },
            More = new[] { part },
            Texts = new Dictionary<string, string> { ["a"] = "b" },
            Counts = new Dictionary<string, int> { ["a"] = 1 },
            Any = new Dictionary<string, object> { ["a"] = "b", ["c"] = 1 },
            Numbers = new List<int> { 1, 2 },
            Thing = new { part.Name, part.Price },
        };
        var json = JsonSerializer.Serialize(whole, Options);
        var again = JsonSerializer.Deserialize<Whole>(json, Options);
        var list = JsonSerializer.Deserialize<List<Part>>("[{\"name\":\"b\",\"count\":1,\"price\":2.25,\"the_tags\":[\"y\"],\"done\":true}]", Options);
        using (var document = JsonDocument.Parse(json))
        {
            foreach (var property in document.RootElement.EnumerateObject()) Seen.AddOrUpdate(property.Name, 1, (name, count) => count + 1);
            var first = document.RootElement.GetProperty("parts").EnumerateArray().First();
            Seen["count"] = first.GetProperty("count").GetInt32() + (first.TryGetProperty("weight", out var weight) ? (int)weight.GetDouble() : 0);
        }
        using (var memory = new MemoryStream())
        {
            await JsonSerializer.SerializeAsync(memory, list, Options);
            memory.Position = 0;
            again.Parts.AddRange(await JsonSerializer.DeserializeAsync<List<Part>>(memory, Options));
        }
        return again;
    }
}
