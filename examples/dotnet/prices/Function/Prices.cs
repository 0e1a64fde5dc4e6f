using System.Globalization;
using Fission;
using Fission.DotNet.Common;
using Tax;

/// Answers what a price without tax costs in a country.
public class Prices
{
    public object Execute(FissionContext context)
    {
        var country = Argument(context, "country").ToUpperInvariant();
        if (!decimal.TryParse(Argument(context, "net"), NumberStyles.Number, CultureInfo.InvariantCulture, out var net))
            return new FissionResponse { Status = 422, Body = "net, please: a number\n" };
        if (!Rates.TryGet(country, out var rate))
            return new FissionResponse { Status = 422, Body = $"no rate for '{country}'\n" };
        return new { country, net, gross = Rates.Gross(net, rate) };
    }

    static string Argument(FissionContext context, string name) =>
        context.Arguments.TryGetValue(name, out var value) ? $"{value}" : "";
}
