// Fission.DotNetCore.Api: what functions of the images dotnet-env and dotnet20-env are written against. How settings are
// read is in Settings.cs.
using System;
using System.Collections.Generic;
using System.IO;
using System.Security.Cryptography.X509Certificates;
using System.Text;

namespace Fission.DotNetCore.Api
{
    /// <summary>One request, and where the function's files are.</summary>
    public class FissionContext
    {
        public FissionContext(Dictionary<string, object> args, Logger logger, FissionHttpRequest request)
        {
            Arguments = args ?? throw new ArgumentNullException(nameof(args));
            Logger = logger ?? throw new ArgumentNullException(nameof(logger));
            Request = request ?? throw new ArgumentNullException(nameof(request));
        }

        /// <summary>The query, decoded. Of a repeated name the values are joined with commas.</summary>
        public Dictionary<string, object> Arguments { get; private set; }

        public FissionHttpRequest Request { get; private set; }

        public Logger Logger { get; private set; }

        /// <summary>The folder of the package, or of the single file.</summary>
        public string PackagePath { get; set; } = "";

        /// <summary>A JSON file of the package. Names match whatever their case; numbers may be read as text.</summary>
        public T GetSettings<T>(string relativePath) => Settings.Read<T>(Path.Combine(PackagePath, relativePath));
    }

    /// <summary>The request as it came.</summary>
    public class FissionHttpRequest
    {
        public FissionHttpRequest(string method, string url, Dictionary<string, IEnumerable<string>> headers, Stream body)
        {
            Method = method;
            Url = url;
            Headers = headers;
            Body = body;
        }

        public Stream Body { get; }

        /// <summary>By name, in any case.</summary>
        public Dictionary<string, IEnumerable<string>> Headers { get; }

        /// <summary>Always null: the platform ends TLS before a function.</summary>
        public X509Certificate Certificate => null;

        /// <summary>Scheme, host, path and query, as they came.</summary>
        public string Url { get; }

        public string Method { get; }

        /// <summary>The whole body as UTF-8, wherever the stream stands.</summary>
        public string BodyAsString()
        {
            Body.Position = 0;
            using (var reader = new StreamReader(Body, Encoding.UTF8, false, 4096, leaveOpen: true)) return reader.ReadToEnd();
        }
    }

    /// <summary>Writes lines with time and severity to standard output.</summary>
    public class Logger
    {
        public void Write(Severity severity, string format, params object[] args)
        {
            // Text that only looks like a format is written as it is.
            var text = args == null || args.Length == 0 ? format : string.Format(format, args);
            Console.WriteLine($"{DateTime.Now:MM/dd/yy H:mm:ss zzz} {severity}: {text}");
        }

        public void WriteInfo(string format, params object[] args) => Write(Severity.Info, format, args);

        public void WriteWarning(string format, params object[] args) => Write(Severity.Warning, format, args);

        public void WriteError(string format, params object[] args) => Write(Severity.Error, format, args);

        public void WriteCritical(string format, params object[] args) => Write(Severity.Critical, format, args);

        public void WriteVerbose(string format, params object[] args) => Write(Severity.Verbose, format, args);
    }

    public enum Severity
    {
        Info,
        Warning,
        Error,
        Critical,
        Verbose
    }
}
