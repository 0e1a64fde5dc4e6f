using System.Globalization;
using System.Net;
using System.Text;
using System.Text.RegularExpressions;
using Fission.DotNet.Common;

// Text, numbers and dates; files and requests, of which none leaves.
public class MyFunction
{
    static readonly HttpClient Client = new HttpClient { Timeout = TimeSpan.FromSeconds(1) };
    static readonly Regex Word = new Regex(@"^(?<word>[a-z]+)(?:-(\d{1,3}))*\s?$", RegexOptions.IgnoreCase);

    enum State { Open, Closed }

    public async Task<string> Execute(FissionContext context)
    {
        var text = new StringBuilder().AppendFormat("{0,5:N2}|{1:yyyy-MM-dd}|{2:0.00}", 1234.5, DateTime.Today, 1.5m).AppendLine().Append(1.5).AppendJoin(", ", 1, 2);
        foreach (var word in "a=1; b=2 ;c".Split(new[] { ';', ' ' }, StringSplitOptions.RemoveEmptyEntries))
            text.Append(word.Trim().Replace("=", ": ").PadLeft(4).Substring(1).ToLowerInvariant()).Append(word.IndexOf('=') < 0 || word.StartsWith("a") ? '+' : '-');
        text.Replace("+", "").Insert(0, Regex.Replace(" x  y ", @"\s+", " ")).Append(WebUtility.HtmlEncode("<&>")).Append(Uri.EscapeDataString("a b")).Append(Word.Match("b-2").Groups["word"].Value);
        var numbers = int.TryParse("12", NumberStyles.Integer, CultureInfo.InvariantCulture, out var parsed)
            && decimal.TryParse("1.5", NumberStyles.Number, CultureInfo.InvariantCulture, out _)
            && double.TryParse("2.5", out var twice);
        var date = DateTime.TryParse("2020-02-03T04:05:06Z", CultureInfo.InvariantCulture, DateTimeStyles.AdjustToUniversal, out var at) ? at.AddDays(parsed).ToString("o") : "";
        var span = (DateTime.UtcNow - at).TotalHours > 1 ? TimeSpan.FromMinutes(parsed).ToString() : "";
        var encoded = Convert.ToBase64String(Encoding.UTF8.GetBytes(date)) + Encoding.UTF8.GetString(Convert.FromBase64String("YQ=="))
            + BitConverter.ToString(Guid.Empty.ToByteArray()) + Enum.Parse(typeof(State), "Closed") + new Random(1).Next(9) + Math.Round(2.5m, 1);
        var request = new HttpRequestMessage(HttpMethod.Post, new Uri("http://localhost/a?b=c")) { Content = new StringContent("{}", Encoding.UTF8, "application/json") };
        request.Headers.TryAddWithoutValidation("X-A", "b");
        var form = await new FormUrlEncodedContent(new Dictionary<string, string> { ["a"] = "b" }).ReadAsStringAsync();
        using (var memory = new MemoryStream())
        using (var writer = new StreamWriter(memory))
        {
            await writer.WriteLineAsync(form);
            await writer.FlushAsync();
            memory.Position = 0;
            using (var reader = new StreamReader(memory)) text.Append(await reader.ReadLineAsync());
        }
        var name = context.Arguments.TryGetValue("name", out var given) ? (string)given : Environment.GetEnvironmentVariable("NAME") ?? "nobody";
        return $"{text}{numbers}{span}{encoded}{name}{request.RequestUri.Host}{request.Content.Headers.ContentType}{await request.Content.ReadAsStringAsync()}{Client.Timeout}{context.Headers()}";
    }
}

static class Extensions
{
    internal static string Headers(this FissionContext context) =>
        context is FissionHttpContext http ? string.Join(";", http.Headers.Select(header => $"{header.Key}={header.Value}")) : "";
}
