// Which pages of other origins may call a function, as it says in SetCorsPolicy.
using System.Collections.Generic;
using Fission.DotNet.Common;
using Microsoft.AspNetCore.Http;

namespace Fission.Server
{
    sealed class Cors : ICorsPolicy
    {
        readonly SortedSet<string> origins = new SortedSet<string>();
        readonly SortedSet<string> headers = new SortedSet<string>();
        readonly SortedSet<string> methods = new SortedSet<string>();
        bool credentials;

        public void AllowAnyOrigin() => origins.Add("*");

        public void AllowAnyHeader() => headers.Add("*");

        public void AllowAnyMethod() => methods.Add("*");

        public void AllowCredentials() => credentials = true;

        public void WithOrigin(string[] origin) => origins.UnionWith(origin);

        public void WithHeader(string[] header) => headers.UnionWith(header);

        public void WithMethod(string[] method) => methods.UnionWith(method);

        /// A browser asks before it calls; the platform says so by forwarding the protocol.
        internal static bool IsPreflight(HttpRequest request) =>
            request.Method == "OPTIONS" && request.Headers.ContainsKey("X-Forwarded-Proto");

        /// Headers of the answer to a browser that asks first.
        internal Dictionary<string, string> Preflight()
        {
            var all = Simple();
            Add(all, "Access-Control-Allow-Headers", headers);
            Add(all, "Access-Control-Allow-Methods", methods);
            if (credentials) all["Access-Control-Allow-Credentials"] = "true";
            return all;
        }

        /// Headers of every other answer.
        internal Dictionary<string, string> Simple()
        {
            var all = new Dictionary<string, string>();
            Add(all, "Access-Control-Allow-Origin", origins);
            return all;
        }

        static void Add(Dictionary<string, string> all, string name, SortedSet<string> values)
        {
            if (values.Count > 0) all[name] = values.Contains("*") ? "*" : string.Join(", ", values);
        }
    }
}
