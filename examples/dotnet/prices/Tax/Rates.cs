using System;
using System.Collections.Generic;

namespace Tax
{
    /// Percent that are added to a price.
    public static class Rates
    {
        static readonly Dictionary<string, decimal> Percent = new Dictionary<string, decimal>
        {
            ["DE"] = 19,
            ["FR"] = 20,
            ["LU"] = 17,
        };

        public static bool TryGet(string country, out decimal percent) => Percent.TryGetValue(country, out percent);

        public static decimal Gross(decimal net, decimal percent) => Math.Round(net * (100 + percent) / 100, 2);
    }
}
