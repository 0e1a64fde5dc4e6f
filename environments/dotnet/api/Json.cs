// What of Fission.DotNet.Common needs System.Text.Json, which .NET Standard does not have.
using System.Text.Json;
using System.Threading.Tasks;

namespace Fission.DotNet.Common
{
    public partial class FissionContext
    {
        /// <summary>The whole body, which is JSON, read with options.</summary>
        public async Task<T> ContentAs<T>(JsonSerializerOptions options) =>
            JsonSerializer.Deserialize<T>(await ContentAsString(), options);
    }
}
