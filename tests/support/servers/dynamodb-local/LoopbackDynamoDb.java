import com.amazonaws.services.dynamodbv2.local.main.ServerRunner;
import com.amazonaws.services.dynamodbv2.local.server.DynamoDBProxyServer;
import java.lang.reflect.Field;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.server.ServerConnector;

/**
 * DynamoDB Local on 127.0.0.1. Its own main class listens on every interface and has no option for it, so the listener
 * is given its address before it opens. Jetty is started directly: the product's own start method reports to its maker.
 */
public final class LoopbackDynamoDb {
  private LoopbackDynamoDb() {}

  /** The first argument is the port, 0 for a free one; the rest are DynamoDB Local's own. */
  public static void main(String[] args) throws Exception {
    String[] options = new String[args.length - 1];
    System.arraycopy(args, 1, options, 0, options.length);
    DynamoDBProxyServer product = ServerRunner.createServerFromCommandLineArgs(options);
    Field field = DynamoDBProxyServer.class.getDeclaredField("server");
    field.setAccessible(true);
    Server server = (Server) field.get(product);
    ServerConnector connector = (ServerConnector) server.getConnectors()[0];
    connector.setHost("127.0.0.1");
    connector.setPort(Integer.parseInt(args[0]));
    server.start();
    System.out.println("listening on " + connector.getLocalPort());
    server.join();
  }
}
